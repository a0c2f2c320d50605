"""MATH's test problems (Hendrycks et al. 2021), for the benchmark on competition mathematics; never trained on.

    {"problem": "How many ...", "level": "Level 3", "type": "Algebra", "solution": "... $\\boxed{2}$."}

5,000 rows in seven subjects (hendrycks/math on GitHub, MIT). There is no one file of it to rely on: give your copy by
`path`, a pattern such as `MATH/test-*.jsonl` if it has several. Of a part such as MATH-500 give its `rows`.
"""

from mixgrid.sources import PublishedSource

SOURCE = PublishedSource(
    name="hendrycks_math",
    form="math",
    rows=5_000,
    homepage="hendrycks/math on GitHub",
)
