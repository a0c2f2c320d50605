r"""What looks like code: programs in any turn, and requests for one.

    ```python                                                    fenced
    SELECT name FROM meetings                                    statement
    Construct a JavaScript function that adds two numbers.       language
    Generate an algorithm for the travelling salesperson.        request

Questions about programming count, for they teach code too. A screenplay's "script" and a "dress code" do not, nor does
JSON as the form of an answer.
"""

from mixgrid.filters import Filter, Rule

_FENCED = r"```[ \t]*(?!(?:text|plaintext|markdown|md|latex|tex|math|json)\b)[A-Za-z][\w+#.-]{0,20}[ \t]*\n"
_STATEMENT = (
    r"(?m)^[ \t]*(?:def \w+\(|class \w+ ?[:({]|from [\w.]+ import |import [\w.]+(?: as \w+)?;?$|#include ?[<\"]"
    r"|public (?:static|class|void) |(?:async )?function \w* ?\(|(?:var|let|const) \w+ ?=|<\?php|<!DOCTYPE html"
    r"|</?(?:html|head|body|div|table|script|button|style)[ >]|(?:SELECT|select) [^\n]{1,200}? (?:FROM|from) "
    r"|(?:CREATE|ALTER) TABLE |INSERT INTO |print ?\(|console\.log\(|System\.out\.|for \w+ in [^\n]{1,80}:$"
    r"|(?:for|while|if) ?\([^\n]{1,120}\{$|return [^\n]{1,80};$"
    r"|(?:[a-z]+ )?[a-z]\w*(?:\[\])? = (?:[\[{\"']|\w[\w.]*[(\[])"
    r"|(?:\$ )?(?:pip3?|npm|git|sudo|apt-get|docker) [a-z]+ )"
)
_LANGUAGE = (
    r"(?i)(?<![\w./])(?:python|java(?:script)?|typescript|php|(?:my)?sql|html5?|css3?|jquery|kotlin|golang|matlab|bash"
    r"|ajax|npm|mongodb|applescript|visual basic|tensorflow|pytorch|xpath|powershell|node\.?js|react(?:js|\.js)|django"
    r"|numpy|vba|regex(?:p|es)?)\b(?!:)|(?<!\w)c(?:\+\+|#)"
)
_REQUEST = (
    r"(?i)\b(?:source code|code (?:snippet|segment|block|example)s?|pseudo-?code|regular expressions?|algorithms?"
    r"|programming|(?:excel|spreadsheet) (?:formula|macro)s?|unit tests?|object[- ]oriented|data structures?|in c\b"
    r"|shell script|react (?:app|component|hook|native|lifecycle)\w{0,9}|linked list|binary (?:search|tree)"
    r"|(?:an?|the|this|these|given|unsorted|following) (?:\w+ )?arrays?\b(?! of (?!int|num|str|pos|obj|char|float))"
    r"|(?:insertion|bubble|merge|quick) ?sort|write an? (?:\w+ ){0,3}program"
    r"|(?:this|the|my|following|some|short) code|lines of code"
    r"|(?:writ|creat|implement|construct|generat|fix|edit|debug|design|develop|build|mak)[a-z]{0,3} (?:me )?(?:an?|the)"
    r" (?:\w+ ){0,2}(?:code|function|computer program|database (?:schema|query)|api))\b"
)

FILTER = Filter(
    name="code",
    version=1,
    rules=(
        Rule(name="fenced", turns="any", pattern=_FENCED, example="```python\ndef add(a, b):\n    return a + b\n```"),
        Rule(name="statement", turns="any", pattern=_STATEMENT, example="Try:\nSELECT name FROM meetings;"),
        Rule(name="language", turns="user", pattern=_LANGUAGE, example="Construct a JavaScript function that adds."),
        Rule(
            name="request", turns="user", pattern=_REQUEST, example="Generate an algorithm for the travelling salesman."
        ),
    ),
)
