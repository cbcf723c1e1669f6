"""The same documents through two services, one with compiled plans and one without: their answers must be the same.

data        a small database in which everything that may be null, odd or long is so somewhere
world       who asks, and the values that arguments may name: ids, cursors, slugs, words
values      values of arguments, right ones and wrong ones
scopes      what a document holds so far, so that what is added fits
arguments   arguments of a field
selections  fields, fragments, directives: one operation
documents   random queries, generated from the schema
mutations   mutations, likewise
stage       a filled database with both services on it
apps        the two services, and asking them
answers     what two answers have in common once moments and ids of their own are taken out
shrinking   the smallest document on which they still differ
runs        many documents, and what came of them
faults      services broken on purpose, which a run has to find out

The documents follow from the schema and a seed; ids in them are those of the database at hand. `make fuzz` asks more.
"""
