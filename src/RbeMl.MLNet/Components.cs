using Microsoft.ML.Runtime;

namespace RbeMl.MLNet;

/// <summary>The list of the components that a model file can hold.</summary>
internal static class Components
{
    /// <summary>Makes every component known to a context.</summary>
    public static void Register(ComponentCatalog catalog)
    {
        Loader<Blocks.TransformerBlockTransformer>.Register(catalog);
        Loader<Features.FeaturizeTransformer>.Register(catalog);
        Loader<Tokens.TokenizeTransformer>.Register(catalog);
        Loader<LanguageModels.LanguageModelTransformer>.Register(catalog);
        Loader<Classification.TextClassificationTransformer>.Register(catalog);
        Loader<Embeddings.TextEmbeddingTransformer>.Register(catalog);
        Loader<Similarity.SentenceSimilarityTransformer>.Register(catalog);
    }
}
