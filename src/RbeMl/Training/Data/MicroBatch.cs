using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>The token ids of a micro-batch, as a source filled them last.</summary>
/// <param name="batch">Sequences B.</param>
/// <param name="context">Tokens of a sequence T.</param>
/// <param name="documents">Whether a source keeps documents apart.</param>
internal sealed class MicroBatch(int batch, int context, bool documents)
{
    private readonly int[] _inputs = new int[checked(batch * context)], _targets = new int[checked(batch * context)];
    private readonly int[] _positions = documents ? new int[checked(batch * context)] : [];
    private bool _places;

    /// <summary>Sequences B.</summary>
    public int Sequences => batch;

    /// <summary>Tokens B x T.</summary>
    public int Tokens => _inputs.Length;

    /// <summary>Takes a micro-batch.</summary>
    /// <param name="source">The source.</param>
    /// <param name="index">Index of the micro-batch.</param>
    public void Fill(ITokenSource source, long index)
    {
        source.Fill(index, batch, context, _inputs, _targets);
        _places = source.IsolatesDocuments;
        if (_places) source.FillPositions(index, batch, context, _positions);
    }

    /// <summary>Tokens that the first sequences predict.</summary>
    /// <param name="sequences">How many.</param>
    public int Predicted(int sequences) => TokenTargets.Count(_targets.AsSpan(0, sequences * context));

    /// <summary>The sum of the losses of the first sequences; 0 of nothing to predict.</summary>
    /// <param name="sequences">How many.</param>
    /// <param name="model">What predicts.</param>
    /// <param name="activations">Its activations.</param>
    /// <param name="dropout">Random stream of the dropout; null for none.</param>
    /// <param name="gradients">Added to; null for none.</param>
    /// <param name="scale">Factor of the gradients.</param>
    /// <param name="losses">Written with the losses one by one; empty where they are not wanted.</param>
    public double LossSum(int sequences, TransformerModel<float> model, TransformerContext<float> activations, DropoutStep? dropout = null,
        ParameterVector<float>? gradients = null, double scale = 1, Span<float> losses = default)
    {
        int tokens = sequences * context;
        ReadOnlySpan<int> targets = _targets.AsSpan(0, tokens);
        losses.Clear();
        if (TokenTargets.Count(targets) == 0) return 0;
        ReadOnlySpan<int> positions = _places ? _positions.AsSpan(0, tokens) : default;
        return model.LossSum(_inputs.AsSpan(0, tokens), targets, positions, sequences, context, activations, dropout, gradients, scale, losses);
    }
}
