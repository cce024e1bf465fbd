"""What the files of the boosters' libraries must look like, checked before the library sees them.

A model file is input: it may be damaged, and its checksum stands in a manifest beside it, which whoever forged the one
can forge as well. The libraries trust their files: a wrong count makes them write past an array or end the process.
"""
