"""Why a run can be believed: its record, checked and compared, and what becomes of it when it is killed."""
