"""The page: a run's lesions by patient in a browser on this machine; looks at a run and keeps a work list beside it."""
