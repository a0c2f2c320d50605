"""mixgrid: studies of SFT data composition. Importing this loads neither torch nor prefect."""
