using System.Buffers;
using System.Text;

namespace RbeMl.Text;

/// <summary>Turns text into token ids 0 .. <see cref="Vocabulary"/> - 1 and back.</summary>
public interface ITokenizer
{
    /// <summary>Number of token ids.</summary>
    int Vocabulary { get; }

    /// <summary>The id that ends a text; null where there is none.</summary>
    int? EndToken => null;

    /// <summary>
    /// Whether an id is a token. Ids of a vocabulary with gaps that belong to none decode to nothing, no text is encoded to them, and they are not drawn.
    /// </summary>
    /// <param name="token">Any number.</param>
    bool IsToken(int token) => (uint)token < (uint)Vocabulary;

    /// <summary>The ids of a text.</summary>
    /// <exception cref="TokenException">The text holds something that has no id.</exception>
    int[] Encode(string text);

    /// <summary>
    /// The ids of a text in which the names of special tokens, such as <c>&lt;|endoftext|&gt;</c>, stand for these; as <see cref="Encode"/>
    /// without any.
    /// </summary>
    /// <exception cref="TokenException">The text holds something that has no id.</exception>
    int[] EncodeWithSpecial(string text) => Encode(text);

    /// <summary>
    /// A place in a text, the later the better, where it can be cut: the ids of the two parts are those of the whole, whatever follows the
    /// text. 0 where none is known; then a text is encoded at once.
    /// </summary>
    /// <param name="text">The start of a text.</param>
    /// <param name="special">Whether names of special tokens stand for these.</param>
    int SafeCut(ReadOnlySpan<char> text, bool special = false) => 0;

    /// <summary>The UTF-8 bytes of one token; a token may end inside a character.</summary>
    /// <exception cref="TokenException">The id is outside the vocabulary.</exception>
    ReadOnlySpan<byte> Bytes(int token);

    /// <summary>
    /// The text of some ids. Bytes that are no UTF-8 become U+FFFD; an id that stands for nothing is nothing, see
    /// <see cref="ModelIds.BytesOf"/>.
    /// </summary>
    /// <exception cref="TokenException">An id is negative.</exception>
    string Decode(ReadOnlySpan<int> tokens)
    {
        ArrayBufferWriter<byte> bytes = new();
        foreach (int token in tokens) bytes.Write(this.BytesOf(token));
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }
}

/// <summary>Decodes token by token: a character whose bytes are spread over tokens comes out whole, with its last token.</summary>
/// <param name="tokenizer">The tokenizer.</param>
internal sealed class StreamingDecoder(ITokenizer tokenizer)
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private char[] _characters = new char[64];

    /// <summary>The text that <paramref name="token"/> completes; may be empty.</summary>
    /// <exception cref="TokenException">The id is negative.</exception>
    public string Push(int token) => Convert(tokenizer.BytesOf(token), flush: false);

    /// <summary>What is left of an unfinished character, as U+FFFD; may be empty.</summary>
    public string Flush() => Convert([], flush: true);

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        int room = Encoding.UTF8.GetMaxCharCount(bytes.Length + 4);
        if (_characters.Length < room) _characters = new char[room];
        int count = _decoder.GetChars(bytes, _characters, flush);
        return new string(_characters, 0, count);
    }
}
