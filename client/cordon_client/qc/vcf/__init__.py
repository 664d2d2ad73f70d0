"""Quality control of variants (VCF, BCF): conformance to the specification, genotypes, judgement."""
