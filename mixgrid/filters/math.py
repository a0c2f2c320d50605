r"""What looks like math: formulas and worked sums in any turn, and requests for a calculation.

    $\frac{3}{4}$                                                formula
    4 x 4 x 4 = 64                                               sum
    2x + 4 = 10                                                  equation
    Compute 148232 * 36011.                                      expression
    Find the perimeter of a triangle with sides 4, 6 and 8.      request

Numbers alone do not count: dates, prices and populations are general. A word problem is told by the sum in its answer.
"""

from mixgrid.filters import Filter, Rule

_FORMULA = (
    r"\\(?:frac|sqrt|sum|int|cdot|times|leq|geq|infty|begin\{(?:equation|align|[pb]?matrix))|\$\$[^$\n]{1,300}\$\$"
)
_SUM = r"\d[)%°]?[ ]?[-+*/x×÷·−^][ ]?[($]{0,2}-?\d[\d,.]*\)?[ ]?[a-z%°²³]{0,9}[ ]?(?:=|≈|equals)[ ]?[-−$(]{0,2}\d"
_EQUATION = r"(?<![\w.])\d{0,9}[a-z](?:\^?\d|²|³)?[ ]?[-+*/−][ ]?(?:\d+[a-z]?|[a-z])(?:\^?\d|²|³)?[ ]?=[ ]?-?\d"
_EXPRESSION = (
    r"(?i)\b(?:calculat\w{0,5}|comput\w{0,5}|evaluat\w{0,5}|solv\w{0,3}|solution|result|answer|what(?:'s| is)|value"
    r"|fractions?)\b[^\n?]{0,60}?\d[ ]?[-+*/x×÷^][ ]?\(?-?\d"
)
_REQUEST = (
    r"(?i)\b(?:(?:calculat|comput|simplif|multipl|subtract)[a-z]{0,3}\b[^.?!]{0,80}?"
    r"(?:\d|equation|expression|fraction|integral|matrix|area|volume|angle|average|difference|\bsum\b)"
    r"|(?:solve|evaluate|derive) (?:the |this |these |an? |for )?(?:\w+ ){0,2}?(?:equations?|expressions?|[a-z]\(\d)"
    r"|convert\b[^?!]{0,100}?\d|factori[sz]e|perimeter|quadratic|polynomials?|derivative of|integral of|square root"
    r"|hypotenuse|trapezoid|equilateral|triangle|parallelogram|probability (?:of|that)|standard deviation|quartile"
    r"|prime (?:number|factor)s?|algebra|geometr(?:y|ic)|trigonometry|calculus|theorem|arithmetic|next number in"
    r"|mathematical (?:equation|expression|formula|operation|problem|reasoning|symbol|proof|derivation)s?"
    r"|math (?:word )?(?:problem|question|equation)s?"
    r"|(?:multiplication|division|addition|subtraction) (?:problem|table)s?"
    r"|sum (?:of|up) (?:the|these|two|all) (?:\w+ ){0,2}?(?:number|digit|integer|element|term|value|angle)s?"
    r"|sum of squares"
    r"|(?:mean|median|average) of (?:the|these|this|three|following|\d)|(?:area|volume|circumference|radius) of an?)\b"
)

FILTER = Filter(
    name="math",
    version=1,
    rules=(
        Rule(name="formula", turns="any", pattern=_FORMULA, example=r"It is $\frac{3}{4}$."),
        Rule(name="sum", turns="any", pattern=_SUM, example="The volume is 4 x 4 x 4 = 64 cubic centimetres."),
        Rule(name="equation", turns="any", pattern=_EQUATION, example="Given 2x + 4 = 10, subtract 4."),
        Rule(
            name="expression", turns="user", pattern=_EXPRESSION, example="Compute 148232 * 36011 and give the answer."
        ),
        Rule(
            name="request",
            turns="user",
            pattern=_REQUEST,
            example="Find the perimeter of a triangle with sides 4, 6, 8.",
        ),
    ),
)
