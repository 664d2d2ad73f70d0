"""Quality control of sequencing reads (FASTQ): syntax, counting, judgement."""
