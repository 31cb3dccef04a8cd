"""Files from the Hub, of one commit and compared with what the Hub recorded, or one sentence that says why not."""
