"""Hidden states: what a layer of a checkpoint makes of each source's queries, in a map and in a number.

hidden_states: {layer: 15, samples: 100, cells: ["dmt:1/256"]}         in a study file: `choice.py`
    -> a step `represent` for each model's base and for the cell: `queries.py`, `states.py`, `embedding.py`
    -> the report's panels, base beside cell, and how pure the sources' neighbourhoods are: `panels.py`
"""
