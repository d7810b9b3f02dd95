"""What users of the MindX SDK and of mxBase own, run here: pipelines, results, scores.

Facts about the formats are those of the published SDK. Nothing in this room needs an Ascend device,
and nothing in it has been run on one.
"""
