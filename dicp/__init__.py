"""dicp"""
