using RbeMl.Text;

namespace RbeMl.Cli.Data;

/// <summary>What a document is.</summary>
internal enum DocumentKind
{
    /// <summary>A text, all of which is learnt.</summary>
    Text,

    /// <summary>A prompt, which is read, and its completion, which is learnt.</summary>
    Completion,

    /// <summary>Messages, of which those of the assistant are learnt.</summary>
    Conversation,
}

/// <summary>A part of a document.</summary>
/// <param name="Role">Who says it: a role of a message, or nothing.</param>
/// <param name="Text">The text.</param>
/// <param name="Learnt">Whether it is learnt.</param>
internal readonly record struct DocumentPart(string Role, string Text, bool Learnt);

/// <summary>A document as it was read.</summary>
/// <param name="File">Its file.</param>
/// <param name="Line">The line it starts in, from 1; 0 for a file that is one document.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Parts">Its parts; none for a file that is one document.</param>
/// <param name="Whole">The file that it is, read in pieces.</param>
internal sealed record DataDocument(string File, int Line, DocumentKind Kind, IReadOnlyList<DocumentPart> Parts, TextSource? Whole = null)
{
    /// <summary>All of its text, in pieces that are valid until the next.</summary>
    public IEnumerable<ReadOnlyMemory<char>> Pieces => Whole?.Pieces() ?? Parts.Select(part => part.Text.AsMemory());

    /// <summary>The error of this document.</summary>
    public RbeFileException Bad(string what) => new(File, Line > 0 ? FormattableString.Invariant($"line {Line} {what}") : what);
}
