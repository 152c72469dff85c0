"""Mutation fuzzing of everything that reads what others wrote: `make fuzz MINUTES=10 SEED=1`.

corpus ─► mutate (by seed, target, number) ─► run in a child under limits ─► faults: crash, hang, memory, died
"""
