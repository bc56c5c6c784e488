namespace RbeMl.Training;

/// <summary>A document to train or measure on.</summary>
/// <param name="Ids">Its token ids.</param>
/// <param name="Learnt">
/// For each id whether it is to be predicted: false for a prompt, which is only read. Null predicts all. The first id of a document is read
/// only, unless an end token of the document before it is there to predict it from.
/// </param>
public sealed record TokenDocument(IReadOnlyList<int> Ids, IReadOnlyList<bool>? Learnt = null);

/// <summary>How documents are laid into the sequences of a batch.</summary>
public enum DocumentPacking
{
    /// <summary>
    /// One after the other, so that no place is wasted. Documents with prompts are cut only where they are longer than a sequence, others
    /// wherever it ends. Attention sees the documents before, as it does in a stream.
    /// </summary>
    Packed,

    /// <summary>Each begins a sequence of its own, whose rest is padded: attention sees nothing of another document.</summary>
    Separate,

    /// <summary>
    /// One after the other, and cut only where they are longer than a sequence. Attention sees nothing of another document, and positions begin with each
    /// at 0: its tokens are predicted as if it stood alone, and its first, before which there is nothing, is not.
    /// </summary>
    Isolated,
}
