"""The law of a study: what amounts of data do to each ability, and what to run next.

laws = fit_study(rows, sizes={"math": 512, "code": 512, "general": 512})
laws.document()                        -> what `law.json` holds: parameters, leave-one-out errors, crossings, fronts
recommend(laws, weights={"math": 2})   -> strategy and proportions, expected scores, the cells to run next
"""

from mixgrid.law.recommend import recommend
from mixgrid.law.study_law import StudyLaw, fit_study

__all__ = ["StudyLaw", "fit_study", "recommend"]
