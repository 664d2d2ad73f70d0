"""Quality control of alignments (BAM, CRAM): reading, counting, judgement."""
