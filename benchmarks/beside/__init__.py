"""Stage one beside other ways of doing it: another loader, one fold model at a time, programs that want the cores."""
