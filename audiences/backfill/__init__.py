"""Everybody whom Lamba knew before its events reached us: read from its own API, page by page, as often as needed.

`connection` keeps the access, `client` speaks HTTP, `members` reads what Lamba says, `runs` goes on where it stopped.
"""
