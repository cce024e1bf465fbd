"""Why a run says what it says of one lesion: heat maps, metadata, boosters, and the patient's other lesions."""
