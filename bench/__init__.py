"""Measures tenure's own ways side by side with what people would do: ``python -m bench postgres --rows 1000000``.

`port` says what a store's bench is made of, `table` prints it, `history` keeps it; one module per store measures.
"""
