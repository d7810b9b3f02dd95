"""Run what users of the MindX SDK and of mxBase have: pipelines, programs, results, scores.

    .pipeline --grammar, factories--> structure --elements, context, models--> program.Program
    picture as request.Request --> pictures, crops (by pixels) --> inferring --> classes
                               --> serialize: its JSON
    who runs it: folder_run (ghostkit pipeline); manager, api (StreamManagerApi, by messages)
    what is said of it: agreement, explain, drawing, correction; statistics, statistics_files
    apart from it: mxbase, score

Facts about the formats are those of the published SDK. Nothing in this room needs an Ascend device,
and nothing in it has been run on one.
"""
