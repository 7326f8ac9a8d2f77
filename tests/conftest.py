"""Check every shape that a signature promises, for the whole test run (jaxtyping with beartype)."""

from jaxtyping import install_import_hook

hook = install_import_hook("dicp", "typechecking.check")
