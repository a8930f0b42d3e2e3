"""Pure functions from sessions to verdicts. Nothing is imported here: collecting tests must not load scipy.

    judge.judge_session(session, baselines, limits)            what each row, the suite and the session are
    judge.suspects(session, baselines)                         which rows to measure again before that
    judge.to_pair(session, baselines)                          which rows to measure in pairs with a reference
    verdict.exit_status([verdict], require_baseline, strict)   what a command returns
    verdict.to_json(verdict)                                   what `tokgate judge --json` prints
    explain.explain(session, baselines, scenario)              what moved behind a slower row

The statistics are in variance (moderation), estimate (interval, MDE), comparison (against accepted sessions),
paired (against a reference in the same night) and ruling (levels, rule, screen).
"""
