using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Benchmarks.Peers;

/// <summary>A <c>.rbe</c> file, in the copy for generation that its words ask for.</summary>
internal sealed class RbePeer : IPeer
{
    private readonly ModelBundle _bundle;
    private readonly TransformerModel<float> _model;
    private readonly Workspace<float> _workspace;
    private readonly KvCache<float> _cache;
    private readonly float[] _logits;

    /// <summary>Loads the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="precision">Weights of the copy; null for the model itself.</param>
    /// <param name="activations">Of prompts.</param>
    /// <param name="threads">Threads.</param>
    public RbePeer(string path, WeightPrecision? precision, ActivationPrecision activations, int threads)
    {
        _bundle = ModelFile.Load(path);
        bool copies = precision is not null || activations != ActivationPrecision.Float32;
        _model = copies ? _bundle.Model.ToInference(precision ?? WeightPrecision.Float32, activations) : _bundle.Model;
        if (copies) _bundle.Dispose();
        _workspace = new Workspace<float>(threads);
        _cache = new KvCache<float>(_model.Config, 1, PeerModels.Positions);
        _logits = new float[_model.Config.Vocabulary];
    }

    public void Rewind(int length)
    {
        if (length == 0) _cache.Reset();
        else _cache.Truncate(length);
    }

    public ReadOnlySpan<float> Read(ReadOnlySpan<int> tokens, int past)
    {
        _model.LastLogits(tokens, 1, tokens.Length, _workspace, _cache, _logits);
        return _logits;
    }

    public void Dispose()
    {
        _cache.Dispose();
        _workspace.Dispose();
        _model.Dispose();
        _bundle.Dispose();
    }
}
