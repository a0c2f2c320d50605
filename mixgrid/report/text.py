"""Text from studies, models and datasets on its way into HTML: all of it is hostile.

    escape('<img src=x onerror=alert(1)>')  ->  '&lt;img src=x onerror=alert(1)&gt;'

Besides markup, characters that break an XML parser or reverse the reading order are replaced: a report is also
parsed by tools, and a model's name must not make a score read backwards. Very long text is cut.
"""

import html
import re

from mixgrid.untrusted import bounded

LONGEST = 10_000  # characters; the longest honest text is a study's question
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def escape(value: object) -> str:
    """The value as text that is safe in HTML, SVG and their attributes; of long text the first `LONGEST` characters."""
    return html.escape(UNPRINTABLE.sub("\ufffd", bounded(str(value), LONGEST)), quote=True)
