"""Dataset preparation: from videos or a simulation to a folder of Parquet files with a card."""
