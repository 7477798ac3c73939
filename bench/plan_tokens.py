"""What Gemini Live counts for one call: every reply is billed for all that was said before it. Pure.

Sources: https://ai.google.dev/gemini-api/docs/live-api/best-practices#pricing-billing, and Google's answer at
https://discuss.ai.google.dev/t/pricing-of-speech-to-speech-live-model/140340: tokens of earlier turns are billed again
on every turn, audio as audio; there is no price per minute. Somebody's bill agreed within 3 % with the sum over turns
(https://discuss.ai.google.dev/t/173248). Transcripts, tool calls and the model's thoughts are not counted here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class CallTokens:
    """Tokens of one call: what is billed, and how much of `audio_in` was new.

    Attributes:
        audio_in: billed as audio input, over all replies.
        text_in: billed as text input: the instructions, once for each reply.
        audio_out: the agent's voice.
        heard: audio that came in on the line, each second counted once.
    """

    audio_in: float
    text_in: float
    audio_out: float
    heard: float


def count_tokens(
    *,
    call_secs: float,
    replies_per_minute: float,
    agent_talks: float,
    prompt_tokens: float,
    compression_tokens: float,
    audio_tokens_per_sec: float,
) -> CallTokens:
    """Count one call in which the agent replies at even distances.

    Args:
        call_secs: how long it lasts; the line is sent to the model all the while, silence included.
        replies_per_minute: how often the agent replies; at least once a call.
        agent_talks: share of the call in which the agent speaks, 0 to 1.
        prompt_tokens: instructions and tools, as text.
        compression_tokens: a context longer than this is cut to half of it, oldest audio first.
        audio_tokens_per_sec: tokens for a second of audio, in or out.
    """
    replies = max(1, round(call_secs / 60 * replies_per_minute))
    heard = audio_tokens_per_sec * call_secs / replies
    spoken = heard * agent_talks
    context = billed = 0.0
    for _ in range(replies):
        context += heard
        if context + prompt_tokens > compression_tokens:
            context = max(0.0, compression_tokens / 2 - prompt_tokens)
        billed += context
        context += spoken
    return CallTokens(
        audio_in=billed, text_in=prompt_tokens * replies, audio_out=spoken * replies, heard=heard * replies
    )
