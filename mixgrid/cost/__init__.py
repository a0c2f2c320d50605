"""What a study costs: tokens, operations, device-hours and money, before it runs and against what it took.

estimate_cost(plan, Hardware(device=DEVICES["H100"], ...), measured=measure(plan, store))
    -> {"device": "H100", ..., "models": {"llama-7b": {"unique": {"tokens": 3.1e8, "flops": 1.3e19, ...}, ...}}}
"""
