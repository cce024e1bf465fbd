"""What each data set publishes: names of files, columns, diagnoses. Nothing is read or written here."""
