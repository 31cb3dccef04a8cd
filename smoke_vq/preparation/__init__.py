"""Making dataset folders: from videos or from a simulation to Parquet files with a card."""
