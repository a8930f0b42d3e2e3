"""Locust's users: people who ask, read and think. What imports gevent runs in Locust's processes alone, never in
pytest's: connection, locusts, recording and, beside this package, locustfile.
"""
