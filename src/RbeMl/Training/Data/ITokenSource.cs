namespace RbeMl.Training;

/// <summary>
/// Where batches come from. A sequence is a function of its index alone, batch index x batch + place (and of the source's seed), so that
/// any run can be repeated, and continued from any step.
/// </summary>
public interface ITokenSource
{
    /// <summary>Number of token ids; every id is below it.</summary>
    int Vocabulary { get; }

    /// <summary>Sequences before the first comes again, the most that a validation takes; null for a source without an end.</summary>
    /// <param name="context">Tokens of a sequence T.</param>
    long? EpochSequences(int context) => null;

    /// <summary>Fills one micro-batch.</summary>
    /// <param name="batchIndex">Index of the micro-batch in the run, from 0.</param>
    /// <param name="batch">Sequences B.</param>
    /// <param name="context">Tokens of a sequence T.</param>
    /// <param name="inputs">[B][T] token ids.</param>
    /// <param name="targets">[B][T] ids to predict; -1 where nothing is to be predicted.</param>
    /// <exception cref="ShapeMismatchException">A span is not B x T long.</exception>
    void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets);

    /// <summary>
    /// Whether sequences hold several documents that are to be kept apart: attention sees one at a time, as <see cref="FillPositions"/> tells.
    /// </summary>
    bool IsolatesDocuments => false;

    /// <summary>Fills the places of a micro-batch's tokens in their documents; asked where <see cref="IsolatesDocuments"/> says so.</summary>
    /// <param name="batchIndex">Index of the micro-batch in the run, from 0.</param>
    /// <param name="batch">Sequences B.</param>
    /// <param name="context">Tokens of a sequence T.</param>
    /// <param name="positions">[B][T] places: in each sequence from 0 on, one by one, and 0 again where another document begins.</param>
    /// <exception cref="ShapeMismatchException">The span is not B x T long.</exception>
    void FillPositions(long batchIndex, int batch, int context, Span<int> positions) =>
        throw new NotSupportedException($"A source that isolates documents says where they begin: {GetType().Name} needs a {nameof(FillPositions)}.");
}
