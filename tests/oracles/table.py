"""The table of decisions, all of it; who asks an oracle asks every row of this."""

from tests.oracles.condition_rows import CONDITIONS, FACTORS
from tests.oracles.element_rows import DENIES, ELEMENTS, SPLITS
from tests.oracles.time_rows import DATE_LISTS, DATES, SPELLINGS, STARTS

TABLE = [
    *DATES,
    *DATE_LISTS,
    *SPELLINGS,
    *STARTS,
    *ELEMENTS,
    *DENIES,
    *CONDITIONS,
    *FACTORS,
    *SPLITS,
]
