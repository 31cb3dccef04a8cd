"""Downloads from the Hub: files of one commit, compared with the recorded checksums; errors in one sentence."""
