"""Backups of the stores: taken online, checked, rehearsed on scratch servers, restored into empty stores."""
