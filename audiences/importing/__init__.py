"""A CSV file becomes people: read and screened, put in order, written as a whole or not at all.

`file` gives its text, `screen` tells right rows from doubtful ones, `judge` says what is wrong with those, `order`
sorts them on disk and finds repetitions, `prepare` shapes them, `write` and `known` put them into the tables.
"""
