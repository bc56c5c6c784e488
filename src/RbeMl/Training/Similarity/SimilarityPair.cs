namespace RbeMl.Training;

/// <summary>Two tokenized texts and how alike they are.</summary>
/// <param name="First">Ids of the one, at least 1.</param>
/// <param name="Second">Ids of the other, at least 1.</param>
/// <param name="Similarity">The cosine their embeddings should have, -1 to 1; the contrastive loss takes every pair as one of partners.</param>
public readonly record struct SimilarityPair(int[] First, int[] Second, float Similarity = 1);
