"""The error codes of quality control: what a code means, and the next step that usually helps."""

from __future__ import annotations

QUALITY_CODES: dict[str, tuple[str, str]] = {
    # -- the command, cohorts and manifests --------------------------------------------------------
    "US050": (
        "there is no modality of that name",
        "name one of the known modalities, or leave --modality out",
    ),
    "US051": ("Ray is not installed here", "install cordon-client[cluster], or use --jobs"),
    "NE010": ("the Ray cluster does not answer", "check the address and that ray start ran there"),
    "SY050": (
        "a process that checked samples was killed",
        "it probably ran out of memory: run again with fewer --jobs",
    ),
    "DA030": (
        "nothing that could be checked was found",
        "check the path, or name the format with --modality",
    ),
    "DA031": (
        "the cohort manifest is not valid",
        "correct the named line or field; columns: sample, file, patient, label, batch.NAME",
    ),
    "DA080": (
        "the study takes checked samples only, and this site names no sample sheet",
        "add dataset.samples.sheet to site.yaml: the manifest of patients, samples and files",
    ),
    "DA081": (
        "the files of this site's samples have not been checked for this study",
        "run: cordon site qc DIR --study STUDY",
    ),
    "DA082": (
        "the sample files were checked, and something changed since",
        "check them again: cordon site qc DIR --study STUDY",
    ),
    "DA083": (
        "the sample sheet does not say whose each sample and file is",
        "give every sample a patient, and name each file once, or with what is inside",
    ),
    "DA084": (
        "a sample file changed while it was being checked",
        "wait until the copy is complete, then run again",
    ),
    "CK111": (
        "a file that several samples share could not be checked, so nothing is known of any",
        "repair the file, then run: cordon site qc DIR --study STUDY",
    ),
    "CK105": (
        "the file holds columns of direct identifiers",
        "leave names, record numbers, telephone numbers and addresses out of the export",
    ),
    "CK110": (
        "a hard quality check did not hold",
        "see the local QC report; repair or remove what it names, then run again",
    ),
    # -- reads, alignments, variants, identity -----------------------------------------------------
    "DA040": (
        "the reads are not valid FASTQ",
        "copy the file again from the sequencer's output, and compare its checksum",
    ),
    "DA042": (
        "the variants cannot be read as VCF",
        "write the file again with the tool that made it, or look at it with: bcftools view FILE",
    ),
    "DA041": (
        "the alignments cannot be read to their end",
        "copy the file again, and check it with: samtools quickcheck FILE",
    ),
    "DA043": (
        "the compressed alignments need their reference genome, and it is not here",
        "set REF_PATH to a local reference cache, or convert the file to BAM",
    ),
    "DA044": (
        "the identity sheet, or a table that it names, is not valid",
        "write the columns that `cordon_client/qc/multiomics/sheet.py` lists, tab-separated",
    ),
    "DA045": (
        "the OMOP tables do not hold what the recipe asks for",
        "export the named tables or columns too, or ask the coordinator for another recipe",
    ),
    "US052": (
        "the recipe does not make the columns that the study asks for",
        "compare the names in recipe and study: features, outcome and patient_id",
    ),
    # -- counts, cells, taxa, proteins, sequences, signals, images ---------------------------------
    "DA060": (
        "the matrix cannot be read",
        "export it as TSV or CSV with one header line, or as Parquet, h5ad or 10x",
    ),
    "DA061": (
        "a sample of the matrix holds text where numbers belong",
        "write decimal points, leave missing cells empty, and remove units",
    ),
    "DA062": ("the matrix names a sample twice", "rename or remove one of the two in the export"),
    "DA063": ("the matrix has no values", "check the filter of the export"),
    "DA064": (
        "the 10x folder is not complete",
        "copy matrix.mtx, barcodes.tsv and features.tsv (or genes.tsv) of one run into one folder",
    ),
    "DA065": (
        "the HDF5 file is damaged or not of this kind",
        "write it again, or copy it again from where it was made",
    ),
    "DA066": ("the BIOM table is not valid", "write it again with biom convert"),
    "DA067": (
        "the taxonomy report is not valid",
        "give the report file of Kraken, Bracken or MetaPhlAn, not the per-read output",
    ),
    "DA068": (
        "the proteomics table has no intensity columns",
        "export protein groups with one intensity column per run",
    ),
    "PO140": (
        "batch and outcome cannot be told apart, so no correction can separate them",
        "measure both outcomes in every batch, or train without harmonisation",
    ),
    "PO141": (
        "too few records for sums that describe them in that many directions",
        "use a smaller panel of features, or release with noise",
    ),
    "DA069": (
        "the sequences cannot be read",
        "give FASTA, or a table with a column named sequence",
    ),
    "DA070": (
        "the series cannot be read",
        "give one row per series, or one row per patient and time with a time column",
    ),
    "DA071": ("the images cannot be read", "give PNG files, or an NPZ file with uint8 images"),
    "DA072": (
        "the matrix is larger than the site allows",
        "store it sparse (h5ad or 10x), or raise the limit",
    ),
    "DA073": ("the file names no sample of that name", "correct the cohort manifest"),
}
