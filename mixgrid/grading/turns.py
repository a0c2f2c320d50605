"""Where a model's own turn ends.

own_turn("#### 18</s>USER: And twice that?")  ->  "#### 18"

vicuna_v1.1 has no stop string, so a model that misses its end token rambles into the user's next turn. The other ends
are those of ChatML, GPT-2 and Llama 3, where a server leaves them in the text.
"""

# gsm8k-ScRel's rule (OFA-Sys, 4d88932) also stops at NUL.
_ENDS = ("USER:", "</s>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "\x00")


def own_turn(answer: str) -> str:
    """The answer up to the first end token or next-turn marker."""
    return min((answer.partition(end)[0] for end in _ENDS), key=len)
