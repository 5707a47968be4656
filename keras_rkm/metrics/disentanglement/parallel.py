"""Work spread over threads, with results that do not depend on how many there are."""

import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from .inputs import check_count


def parallel_map(function: Callable, items: Iterable, n_jobs: int | None) -> list[Any]:
    """`[function(item) for item in items]`, by `n_jobs` threads; -1 takes all cores.

    Linear algebra is held to one thread meanwhile: split up, it would add in another order, and
    the last bits of a score would tell on how many cores it was computed. scikit-learn's warnings
    that an iteration ended early are held back; who cares about one looks at `n_iter_`.

    Raises:
        ValueError: If `n_jobs` is neither None, a positive int nor -1, and what `function` raises.
    """
    if n_jobs is not None and n_jobs != -1:
        check_count(n_jobs, "n_jobs")
    import joblib
    import threadpoolctl
    from sklearn.exceptions import ConvergenceWarning

    # To look for the libraries takes milliseconds, longer than many an item.
    libraries = threadpoolctl.ThreadpoolController()

    def one_thread(item):
        # The limit of OpenMP belongs to the thread that sets it, that of linear algebra to all.
        with libraries.limit(limits=1, user_api="openmp"):
            return function(item)

    def run():
        calls = (joblib.delayed(one_thread)(item) for item in items)
        return joblib.Parallel(n_jobs=n_jobs, require="sharedmem")(calls)

    with libraries.limit(limits=1):
        # The filters belong to the process: two threads that change them would undo each other.
        if threading.current_thread() is not threading.main_thread():
            return run()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return run()
