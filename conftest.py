"""For the tests and for `pytest --nbmake notebooks/`."""

import kernels

kernels.start_one_at_a_time()
