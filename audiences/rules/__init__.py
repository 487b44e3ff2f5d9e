"""The rule language: fields and operators are data; parse reads, compile runs, explain answers, sentence says."""
