"""Three small downstream services that misbehave as real ones do: busy answers, lost answers, and a ledger each.

Start one with ``python -m examples.services.inventory --port 8101 --ledger inventory.jsonl --seed 1``.
"""
