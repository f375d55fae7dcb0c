"""Ranges of one run on several machines: a coordinator gives them away, workers take them, the ledger decides.

The queue (Procrastinate, extra `fanout`) only wakes workers: a job says "there is work of this operation", and a thread
of the worker then asks the ledger for ranges until its time is over. A lost or doubled job does no harm.
"""
