namespace RbeMl.Text;

/// <summary>
/// ChatML, for tokenizers that have its two tokens: a message is <c>&lt;|im_start|&gt;role</c>, a line feed, its text and
/// <c>&lt;|im_end|&gt;</c>. The marks are put in as ids, so that no text of a message becomes one.
/// </summary>
public sealed class ChatMl
{
    private const string StartName = "<|im_start|>", EndName = "<|im_end|>", LineFeed = "\n";
    private readonly ITokenizer _tokenizer;
    private readonly int _start;

    private ChatMl(ITokenizer tokenizer, int start, int end) => (_tokenizer, _start, End) = (tokenizer, start, end);

    /// <summary>The id that ends a message.</summary>
    public int End { get; }

    /// <summary>The format with a tokenizer's marks; null for one that lacks them, or a model that does.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    public static ChatMl? Of(ITokenizer tokenizer, int vocabulary)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return Mark(StartName) is { } start && Mark(EndName) is { } end ? new ChatMl(tokenizer, start, end) : null;

        // The one id that a name stands for; null where it stands for none.
        int? Mark(string name)
        {
            try
            {
                return tokenizer.EncodeWithSpecial(name) is [var id] && id < vocabulary ? id : null;
            }
            catch (TokenException)
            {
                return null; // a tokenizer without some of these characters
            }
        }
    }

    /// <summary>The ids of a whole message, without what stands between two.</summary>
    /// <param name="role">Who speaks: system, user, assistant.</param>
    /// <param name="text">What they say.</param>
    /// <exception cref="TokenException">It holds something that has no id.</exception>
    public int[] Message(string role, string text) => [_start, .. _tokenizer.Encode(role + LineFeed + text), End];

    /// <summary>The ids that begin a message, after which its text is written.</summary>
    /// <param name="role">Who speaks.</param>
    public int[] Opening(string role) => [_start, .. _tokenizer.Encode(role + LineFeed)];

    /// <summary>The ids between two messages.</summary>
    public int[] Between() => _tokenizer.Encode(LineFeed);
}
