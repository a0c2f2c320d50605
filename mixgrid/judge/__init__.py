"""MT-Bench: a judge model rates each answer, and no rating is paid for twice.

    bench = read_bench(questions="question.jsonl", prompts="judge_prompts.jsonl", references="gpt-4.jsonl")
    run = judge_all(answers, bench=bench, settings=JudgeSettings(model="gpt-4", ...), runtime=JudgeRuntime(...))
    summarise(run.judgments, bench.questions)  ->  mean 6.31 [5.89, 6.73], n=160 of 160, 80 questions

From the ground up: `verdict` reads a rating, `profiles` and `questions` write requests, `cache` keeps replies, `budget`
counts, `client` asks, `judging` does all answers of a checkpoint, `summary` and `fastchat_files` tell the result.
"""
