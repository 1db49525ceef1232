"""The design document `_design/after`: the rules, views and REST interface that CouchDB itself runs and serves.

Its JavaScript stands in the files beside this one, by the function that CouchDB knows it as; what Python and JavaScript
both need to know is written into it from Python's own tables.

How it comes into a CouchDB: `look` at everything, make a `plan` of what is missing or a `removal`, `apply` its steps.
"""

from after.design.document import design_document

__all__ = ["design_document"]
