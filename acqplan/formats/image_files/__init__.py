"""Reconstructed images as files, each stamped with the plan that made it.

=============  ==================  ==============  ===============================================================
kind           names               by default      where the stamp is
=============  ==================  ==============  ===============================================================
``nifti``      .nii .nii.gz        magnitude       ``descrip`` (plan id) and a comment extension (JSON)
``tiff``       .tif .tiff          magnitude       ImageDescription of the first page (JSON)
``png``        .png                magnitude       text chunk ``acqplan`` (JSON); 16 bits from black to white
``hdf5``       .h5 .hdf5           all of it       attributes; dataset ``image``, and ``affine`` where known
``numpy``      .npy                all of it       nowhere: the format has no place for it
``ismrmrd``    .mrd, or .h5        all of it       attribute string of each image
``dicom``      a folder            magnitude       ImageComments (plan id) and a private element (JSON) of each file
=============  ==================  ==============  ===============================================================

*All of it* is complex64 for MRI and float32 for the DMD. Row 0 is the top row. `write` has the ways out.
"""
