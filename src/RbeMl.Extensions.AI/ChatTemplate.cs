using Microsoft.Extensions.AI;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Extensions.AI;

/// <summary>
/// From messages to the ids of a prompt: <see cref="ChatMl"/> where the tokenizer has its two tokens, else the texts joined by line
/// feeds.
/// </summary>
internal sealed class ChatTemplate
{
    private const string LineFeed = "\n";
    private readonly ITokenizer _tokenizer;
    private readonly ChatMl? _format;

    public ChatTemplate(ITokenizer tokenizer, TransformerModel<float> model)
    {
        _tokenizer = tokenizer;
        int vocabulary = model.Config.Vocabulary;
        if (ChatMl.Of(tokenizer, vocabulary) is not { } format) return;
        _format = format;
        EndTokens = [.. (model.Tokens.With(tokenizer, vocabulary).EndTokens ?? []).Where(id => id != format.End), format.End];
    }

    /// <summary>Ids that end an answer; null for the model's own.</summary>
    public IReadOnlyList<int>? EndTokens { get; }

    /// <summary>The ids of a prompt.</summary>
    /// <exception cref="InvalidSettingException">A message holds more than text.</exception>
    /// <exception cref="TokenException">There is no text, or it holds something that has no id.</exception>
    public int[] Encode(IReadOnlyList<ChatMessage> messages, string? instructions)
    {
        List<(string Role, string Text)> turns = [];
        if (!string.IsNullOrEmpty(instructions)) turns.Add((ChatRole.System.Value, instructions));
        for (int i = 0; i < messages.Count; i++) turns.Add((messages[i].Role.Value, TextOf(messages[i], i)));
        if (turns.All(turn => turn.Text.Length == 0)) throw new TokenException("The messages hold no text. Give at least one with a text to answer.");
        if (_format is not { } format) return _tokenizer.Encode(string.Join(LineFeed, turns.Select(turn => turn.Text)));
        List<int> ids = [];
        foreach ((string role, string text) in turns)
        {
            ids.AddRange(format.Message(role, text));
            ids.AddRange(format.Between());
        }

        ids.AddRange(format.Opening(ChatRole.Assistant.Value));
        return [.. ids];
    }

    private static string TextOf(ChatMessage message, int place)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (message.Contents.FirstOrDefault(content => content is not TextContent) is { } other)
        {
            throw new InvalidSettingException($"messages[{place}]", other.GetType().Name, "the model reads text only. Give TextContent.");
        }

        return message.Text;
    }
}
